import com.rabbitmq.client.*;
import java.net.URI;
import java.security.KeyStore;
import java.util.Map;
import javax.net.ssl.*;

/** Connects as sandbox.json says: TLS outside the own machine, its certificate checked against the anchor told. */
final class Broker {
    static Connection connect(Map<String, Object> box, Map<String, Object> agency) throws Exception {
        URI url = URI.create(Checks.at(box, "amqp_url"));
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(url.getHost());
        factory.setPort(url.getPort());
        factory.setVirtualHost(url.getPath().substring(1));
        factory.setUsername(Checks.at(agency, "user"));
        factory.setPassword(Checks.at(agency, "password"));
        factory.setRequestedHeartbeat(30);
        factory.setAutomaticRecoveryEnabled(false); // what was in flight is undecided, and only we know what that was
        if (url.getScheme().equals("amqps")) {
            KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
            trusted.load(null, null);
            trusted.setCertificateEntry("broker", Checks.pem(Checks.at(box, "tls_ca_cert")).get(0));
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(trusted);
            SSLContext tls = SSLContext.getInstance("TLS");
            tls.init(null, trust.getTrustManagers(), null);
            factory.useSslProtocol(tls);
            factory.setSocketConfigurator(socket -> { // the name in the broker's certificate counts too
                SSLParameters wanted = ((SSLSocket) socket).getSSLParameters();
                wanted.setEndpointIdentificationAlgorithm("HTTPS");
                ((SSLSocket) socket).setSSLParameters(wanted);
            });
        }
        return factory.newConnection();
    }

    private Broker() {}
}
